"""Reports for people: one HTML page for a list of layers, one figure for a README.

``layer`` examines a workload, ``feasibility`` arranges its grid as a map, ``occupancy`` looks at
its scratchpads, ``outlook`` at nearby machines; ``palette`` has the colours, ``drawing`` the SVG,
``html`` the page and ``plots`` the matplotlib figure.
"""
