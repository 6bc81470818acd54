list(APPEND sources launch.cpp rope_table.cpp embedding.cpp rms_norm.cpp rope_store.cpp swiglu.cpp mix_hadamard.cpp
  mix_dense.cpp block_transform.cpp attention.cpp float_linear.cpp site_codes.cpp site_row.cpp row_program.cpp site_tiles.cpp
  site_teams.cpp top_logits.cpp)
