"""A Prometheus exporter for Yandex Cloud Serverless Workflows."""
