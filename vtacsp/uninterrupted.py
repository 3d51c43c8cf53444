"""For the server that worker processes are forked from, which imports this before anything else.

Workers inherit what it does with Ctrl-C: nothing, from their first instruction on.  The mask that
:func:`vtacsp.workers.process_pool` gives them is not enough: multiprocessing takes it off when it
starts its resource tracker again, as a worker does that outlives its parent for a moment.
"""

import signal

signal.signal(signal.SIGINT, signal.SIG_IGN)
