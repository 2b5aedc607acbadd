"""tokenize: records in, the same records with token ids out."""

import click

from doxa.commands import _options


@_options.command("tokenize")
@_options.input_options
@_options.pair_option
@click.option("--base", "--model", "base", required=True, type=click.Path(), metavar="BASE",
              help="Whose tokenizer: a model directory, a hub id, or minilm (the embedded default).")
@_options.error_options
@_options.output_options
def tokenize(files, from_format, text_field, max_record_bytes, text_pair_field, base, on_error, max_errors, require_input,
             output, to, quiet, verbose):
    """Turn texts into token ids, once, for finetune and predict.

    Adds `input_ids` (whole texts with special tokens, nothing cut), `token_type_ids` for pairs, and `tokenizer`,
    the fingerprint by which predict and finetune know that the ids are theirs.

    \b
      cat news.jsonl | tokenize --base minilm --to arrow | predict --model out/ --to parquet > labelled.parquet
    """
    tally = _options.Tally(on_error, max_errors, require_input)
    terminal = _options.terminal("tokenize", quiet, verbose)
    source = _options.source(files, from_format, max_record_bytes)

    from doxa.device.libraries import prepare_libraries

    prepare_libraries(base)

    from doxa.model.bases import find_model
    from doxa.records.reader import read_records
    from doxa.records.writer import choose_format, open_writer
    from doxa.text.stream import ADDED_TYPES, TokenizedStream
    from doxa.text.tokenizer import describe_unknown, load_tokenizer

    choose_format(output, to)
    stream = TokenizedStream(load_tokenizer(find_model(base)), text_field, text_pair_field)
    with open_writer(output, to, ADDED_TYPES) as writer, terminal.progress("records") as progress:
        for outcomes in stream.tokenize(read_records(source)):
            writer.write(tally.admit(outcomes))
            tally.check()
            progress.advance(len(outcomes))
    if stream.n_tokens:
        sentence, is_many = describe_unknown(stream.n_unknown, stream.n_tokens, base)
        (terminal.warn if is_many else terminal.note)(sentence)
    tally.finish()
