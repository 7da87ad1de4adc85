"""The steps of a journey map, each in the form in which a marketer writes it.

`journeys.program` flattens them for `journeys.interpreter`, which says what each of them means.
"""
