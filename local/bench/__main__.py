from local.bench.cli import main
from local.client import run

run(main)
