"""The architecture distribution p(α|π) and its Parquet form."""
