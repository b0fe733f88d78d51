"""The arguments of every command. Nothing heavy is imported here: values are judged where they are used."""
