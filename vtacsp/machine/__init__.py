"""The machine: its description, its instruction set, and which descriptions can be built.

``configuration`` is a ``vta_config.json``, ``fields`` the widths of the instruction fields,
``instructions`` the records and their binary form, ``legality`` the rules over the machine alone.
"""
