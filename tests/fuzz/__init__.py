"""What attackers may send or store, by the hundred thousand, drawn at random.

.. code-block:: console

    $ python -m tests.fuzz                          # all of it, some minutes
    $ python -m tests.fuzz --count cookies=50000    # so many headers, nothing else
    $ python -m tests.fuzz --seed 7                 # other ones

``cookies``
    ``Cookie`` headers: none raises, none that we did not sign makes Redis work, and
    none takes long or keeps memory;
``values``
    what stands in Redis under a session's key, plain or sealed: nothing raises, nobody
    reads what was not stored there, and nobody is locked out;
``programs``
    pickles of another library: none is executed.

Each draws from one seed, so that what was found is found again. ``tests/test_fuzz.py``
has the part that takes seconds.
"""
