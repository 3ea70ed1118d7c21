"""The charts of a report, each as an SVG that takes its colours from the page around it."""
