"""What a teacher gives a student on Rossmann: a 2x512 LSTM, and LightGBM's forecasts as a Parquet."""
