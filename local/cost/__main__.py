from local.cost.cli import main

raise SystemExit(main())
