"""Search methods, one file each, and the stage that runs them."""
