"""Every command and its arguments. Nothing heavy is imported here: values are validated where they are used."""
