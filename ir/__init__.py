"""epimc.ir: the intermediate representation, its text form and the integer semantics.

Importing this package loads nothing: the runtime needs `epimc.ir.semantics` alone.
"""
