"""Everything that speaks Yandex Cloud. Knows nothing of Prometheus."""
