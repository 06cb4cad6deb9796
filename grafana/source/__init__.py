"""The source of the dashboards: `python -m grafana.source` writes `grafana/dashboards/*.json` anew."""
