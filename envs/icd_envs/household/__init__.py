"""An engine for the ALFWorld text domain, a generator of households for it, and an expert that plays them."""
