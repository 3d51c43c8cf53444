"""Reports for people: a page for the spaces of some layers, a page for a search, and figures.

``layer`` examines a workload, ``feasibility`` arranges its grid as a map, ``occupancy`` looks at
its scratchpads, ``outlook`` at nearby machines; ``palette`` has the colours, ``drawing`` the SVG,
``html`` the page and ``plots`` the matplotlib figure.  ``tuned`` is a searched layer, ``tuning``
its page, with its ``curve`` and the ``gantt`` chart of its best program; ``activity`` says what the
modules do, ``timeline`` draws it with matplotlib.  ``page`` is the frame of both pages.
"""
