"""Makes the story model's tokenizer: byte-level BPE with 1,024 tokens.

usage: make_tokenizer.py TEXT OUT_DIR
TEXT holds stories separated by <|endoftext|>; the last 64 (and a cut-off piece after the last separator) are not looked
at. Needs python3-tokenizers. Writes OUT_DIR/tokenizer.json and tokenizer_config.json; then see train.cpp.
"""
import json
import os
import sys

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

END = "<|endoftext|>"
text, out = sys.argv[1:3]
with open(text, encoding="utf-8") as f:
    stories = [s.strip() for s in f.read().split(END)[:-1] if s.strip()][:-64]
tok = Tokenizer(models.BPE())
tok.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
tok.decoder = decoders.ByteLevel()
alphabet = pre_tokenizers.ByteLevel.alphabet()
tok.train_from_iterator(stories, trainers.BpeTrainer(vocab_size=1024, special_tokens=[END], initial_alphabet=alphabet))
tok.post_processor = processors.TemplateProcessing(single=f"{END} $A", special_tokens=[(END, 0)])
os.makedirs(out, exist_ok=True)
tok.save(os.path.join(out, "tokenizer.json"))
with open(os.path.join(out, "tokenizer_config.json"), "w", encoding="utf-8") as f:
    json.dump({"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": END, "eos_token": END, "model_max_length": 512,
               "clean_up_tokenization_spaces": False}, f, indent=2)
    f.write("\n")
