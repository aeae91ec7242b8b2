"""Trained networks for use outside the project: ONNX, and predictions on folders of images."""
