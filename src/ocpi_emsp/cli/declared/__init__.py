"""Every command and its arguments. Nothing heavy is imported here: values are judged where they are used."""
