from edge_agender.cli import main

raise SystemExit(main())
