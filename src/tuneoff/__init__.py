"""Which way of fine-tuning suits this model, this data and this budget, answered with evidence."""
