"""Values within a bound: fields whose every value is guaranteed, in integer arithmetic alone."""
