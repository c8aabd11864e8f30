from local.client import run
from local.demo.cli import main

run(main)
