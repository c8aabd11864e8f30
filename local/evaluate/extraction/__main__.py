from local.client import run
from local.evaluate.extraction.command import main

run(main)
