from local.client import run
from local.loadtest.cli import main

run(main)
