"""What the project stores itself; locations, sessions and CDRs are in the tables of the library."""

from django.db import models


class Driver(models.Model):
    """A driver with one RFID card."""

    name = models.CharField(max_length=100)
    token_uid = models.CharField(max_length=36, unique=True)
    may_charge = models.BooleanField(default=True)

    def __str__(self) -> str:
        return self.name


class Charge(models.Model):
    """A CDR that a driver is to be billed for."""

    driver = models.ForeignKey(Driver, on_delete=models.PROTECT)
    cpo = models.CharField(max_length=6)
    cdr_id = models.CharField(max_length=36)
    kwh = models.DecimalField(max_digits=12, decimal_places=4)
    cost = models.DecimalField(max_digits=12, decimal_places=4)
    currency = models.CharField(max_length=3)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["cpo", "cdr_id"], name="one_charge_per_cdr")]

    def __str__(self) -> str:
        return f"{self.cdr_id}: {self.cost} {self.currency}"
