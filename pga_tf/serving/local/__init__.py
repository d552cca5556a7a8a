"""A development server with TensorFlow Serving's surfaces, for machines without Docker. It sees SavedModels only."""
