"""The compiled space of a layer, of a network, and the engines behind them.

``problem`` binds a workload, a machine and rules; ``feasible`` is the compiled index (fast
paths), ``engine`` the CP-SAT model (reference, optimisation, cores); the others answer one
question each.
"""
