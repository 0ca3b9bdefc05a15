"""What the notebooks run: data, training and scoring of each paper's variants, as functions for several processes."""
