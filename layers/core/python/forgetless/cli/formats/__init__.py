"""The files that `forgetless import` reads, each as the lines of an import."""
