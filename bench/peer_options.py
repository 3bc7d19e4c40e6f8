"""The command line that programs measuring a peer have in common: that of `fathom bench`, as far as it goes."""

import argparse


def numbers(text):
    return [int(part) for part in text.split(",") if int(part) > 0]


def parser(description):
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("model", help="a GGUF file")
    made.add_argument("--threads", type=int, required=True)
    made.add_argument("--prefill", type=numbers, default=[256], metavar="N,...", help="0: none")
    made.add_argument("--decode", type=int, default=24, help="steps; 0: none")
    made.add_argument("--batch", type=numbers, default=[1, 16, 64], metavar="N,...")
    made.add_argument("--context", type=int, default=0, help="tokens in the cache before decode begins")
    made.add_argument("--repeat", type=int, default=1, help="prefill runs to take the best of")
    return made
