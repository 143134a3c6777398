// `tnode key show|backup|restore`: this node's name, and its secret under a passphrase.
#include <sys/random.h>

#include "cli/bundle_disk.h"
#include "cli/commands.h"
#include "cli/durable_file.h"
#include "cli/home.h"
#include "cli/output.h"
#include "cli/passphrase.h"
#include "cli/restored.h"
#include "cli/task_record.h"

namespace tnode {
namespace {

bool draw(void* into, std::size_t size) { return getrandom(into, size, 0) == static_cast<ssize_t>(size); }

/// How far the chain is now, to go into the backup. A store that cannot be read is told of, not passed over: it may be what the backup is for.
Result<ChainMark> mark_of_chain(const Home& home) {
  auto store = open_store_for_reading(home);
  if (!store && store.error().code == Code::not_found) return ChainMark{};
  if (!store) return store.error();
  return mark_of(**store);
}

/// A key is not put beside a store that belongs to another one.
Result<void> check_store_of(const Home& home, const NodeKey& key) {
  Store::Options options;
  options.path = home.store_path();
  options.key = key;
  options.read_only = true;
  auto store = Store::open(options, 0);
  return store || store.error().code == Code::not_found ? Result<void>() : store.error();
}

std::string what_next(const Home& home) {
  return "next      nothing is signed with it before it is known that its chain is whole: else what was signed before could be signed anew, which is fraud.\n"
         "          `" + home.command("farm") + "` or `seed` asks the DHT and the nodes it meets, and fetches what is missing;\n"
         "          `" + home.command("ledger import FILE") + "` takes it from an export of this chain, if you have one\n";
}

int usage(const Error& error) {
  const int status = fail_with(error);
  return error.code == Code::invalid ? static_cast<int>(exit_usage) : status;
}

}  // namespace

int run_key_show(const GlobalOptions& global) {
  auto home = Home::find(global.home);
  if (!home) return fail_with(home.error());
  if (auto made = home->make(); !made) return fail_with(made.error());
  auto key = home->key();
  if (!key) return fail_with(key.error());
  const std::string text = to_hex(key->key());
  Output(global).answer(Json{{"key", text}, {"path", home->key_path()}}, text + "\n", text);
  return exit_done;
}

int run_key_backup(const GlobalOptions& global, const KeyFileOptions& options) {
  auto home = Home::find(global.home);
  if (!home) return fail_with(home.error());
  auto key = home->existing_key();
  if (!key) return fail_with(key.error());
  auto chain = mark_of_chain(*home);
  if (!chain) return fail_with(chain.error());
  auto passphrase = read_passphrase(options.passphrase_file, true);
  if (!passphrase) return usage(passphrase.error());
  Hash salt;
  GcmNonce nonce;
  if (!draw(salt.bytes.data(), salt.bytes.size()) || !draw(nonce.data(), nonce.size())) return fail_with(fail(Code::io, "no randomness to be had"));
  auto written = write_new_durably(options.file, seal_key(*key, *chain, *passphrase, salt, nonce));
  if (!written && written.error().code == Code::exists) return fail_with(fail(Code::exists, options.file + " is there already, and is not replaced; choose another name"));
  if (!written) return fail_with(written.error());
  const std::string name = to_hex(key->key());
  Output(global).answer(Json{{"key", name}, {"file", options.file}, {"blocks", chain->blocks}},
                        "key       " + name + "\nbackup    " + options.file + ", to be opened with the passphrase alone\nrestore   tnode key restore " + options.file + "\n", options.file);
  return exit_done;
}

int run_key_restore(const GlobalOptions& global, const KeyFileOptions& options) {
  auto home = Home::find(global.home);
  if (!home) return fail_with(home.error());
  auto text = read_file(options.file);
  if (!text) return fail_with(text.error());
  auto backup = read_key_backup(*text);
  if (!backup) return usage(fail(backup.error().code, options.file + ": " + backup.error().message));
  auto there = home->existing_key();
  if (!there && there.error().code != Code::not_found) return fail_with(there.error());
  if (there && there->key() != backup->key)
    return fail_with(fail(Code::exists, "this home has another key, " + to_hex(there->key()) + ", which is never replaced; restore into another --home"));
  if (!there) {
    if (auto fits = check_store_of(*home, backup->key); !fits) return fail_with(fits.error());
    auto passphrase = read_passphrase(options.passphrase_file, false);
    if (!passphrase) return usage(passphrase.error());
    auto key = open_key_backup(*backup, *passphrase);
    if (!key) return fail_with(fail(key.error().code, options.file + ": " + key.error().message));
    if (auto made = home->make(); !made) return fail_with(made.error());
    // The mark first: there is no moment at which the key is here and might sign as if nothing had happened.
    if (auto marked = write_restored_mark(*home, {backup->key, backup->chain, "its key was restored from a backup"}); !marked) return fail_with(marked.error());
    if (auto put = home->put_key(*key); !put) return fail_with(put.error());
  }
  const std::string name = to_hex(backup->key);
  Output(global).answer(Json{{"key", name}, {"path", home->key_path()}, {"restored", !there.ok()}}, "key       " + name + (there ? "\n          was here already; nothing was changed\n" : "\npath      " + home->key_path() + "\n" + what_next(*home)), name);
  return exit_done;
}

}  // namespace tnode
