from local.bench.scale.command import main
from local.client import run

run(main)
