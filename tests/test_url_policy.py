"""Which URLs and addresses of partners are called."""

import pytest

from ocpi_emsp import UrlPolicy
from ocpi_emsp.errors import UnsafeUrl

HERE = UrlPolicy.loopback()


@pytest.mark.parametrize(
    ("policy", "url"),
    [
        (UrlPolicy.default(), "https://cpo.example.com/versions"),
        (UrlPolicy.default(), "HTTPS://CPO.Example.com.:8443/versions"),
        (UrlPolicy.default().allowing_http("cpo.example.com"), "http://cpo.example.com/versions"),
        (UrlPolicy.default().allowing_http("localhost"), "http://localhost:8000/versions"),
        (UrlPolicy.default().allowing_network("10.20.0.0/16"), "https://10.20.1.2/versions"),
        (UrlPolicy.default().allowing_port(22), "https://cpo.example.com:22/versions"),
        (UrlPolicy.default().allowing_host("cpo.internal"), "https://cpo.internal/versions"),
        (HERE, "http://127.0.0.1:80/versions"),
        (HERE, "http://[::1]:81/versions"),
        (HERE, "https://cpo.example.com/versions"),
    ],
)
def test_what_is_allowed_is_called_and_each_relaxation_allows_one_thing(policy: UrlPolicy, url: str) -> None:
    assert policy.check(url) == url
    for other in (
        "http://other.example.com/", "https://10.21.0.1/", "https://cpo.example.com:25/", "https://other.internal/",
    ):  # fmt: skip
        with pytest.raises(UnsafeUrl):
            policy.check(other)


def test_a_refusal_says_what_allows_it_and_repeats_no_password() -> None:
    with pytest.raises(UnsafeUrl) as caught:
        UrlPolicy.default().check("http://cpo.example.com/")
    for way in ("--allow-http cpo.example.com", 'UrlPolicy.allowing_http("cpo.example.com")', "--url-policy loopback"):
        assert way in caught.value.message
    with pytest.raises(UnsafeUrl) as caught:
        UrlPolicy.default().check("https://name:word@cpo.example.com/")
    assert "word" not in caught.value.message


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.1", "::ffff:10.0.0.1", "64:ff9b::a00:1", "fe80::1%eth0", "x"])
def test_a_name_that_leads_to_an_address_that_is_not_public_is_refused(address: str) -> None:
    with pytest.raises(UnsafeUrl):
        UrlPolicy.default().check_address(address, "cpo.example.com")
    UrlPolicy.default().check_address("8.8.8.8", "cpo.example.com")
