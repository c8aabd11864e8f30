from local.bench.index_rows.command import main
from local.client import run

run(main)
