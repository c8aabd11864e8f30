from local.client import run
from local.evaluate.cli import main

run(main)
