"""Arguments of operators and sensors: types, checks, and what templates make of them."""
