#include "core/key_backup.h"

#include <charconv>
#include <cstring>
#include <vector>

namespace tnode {
namespace {

constexpr std::string_view opening = "tnode key backup 1";
constexpr std::string_view sealed_word = "aes-256-gcm";

template <std::size_t n>
std::string hex(const std::array<std::uint8_t, n>& bytes) { return to_hex(std::string_view(reinterpret_cast<const char*>(bytes.data()), n)); }

/// All lines but the last: read by anybody, changed by nobody who does not know the passphrase.
std::string known_lines(const KeyBackup& backup) {
  std::string text(opening);
  text += "\nkey " + to_hex(backup.key) + "\nblocks " + std::to_string(backup.chain.blocks) + " " + to_hex(backup.chain.head) + "\n";
  text += "genesis " + (backup.chain.genesis ? to_hex(encode_block(*backup.chain.genesis)) : "-") + "\n";
  text += "scrypt " + std::to_string(backup.cost.log2_n) + " " + std::to_string(backup.cost.r) + " " + std::to_string(backup.cost.p) + " " + to_hex(backup.salt) + "\n";
  return text;
}

std::string whole_text(const KeyBackup& backup) { return known_lines(backup) + std::string(sealed_word) + " " + hex(backup.nonce) + " " + to_hex(backup.sealed) + "\n"; }

std::vector<std::string_view> split(std::string_view text, char at) {
  std::vector<std::string_view> parts;
  for (std::size_t end; (end = text.find(at)) != std::string_view::npos; text.remove_prefix(end + 1)) parts.push_back(text.substr(0, end));
  parts.push_back(text);
  return parts;
}

template <class Number>
bool read_number(std::string_view text, Number& into) {
  auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), into);
  return problem == std::errc() && end == text.data() + text.size();
}

bool read_hex(std::string_view text, std::uint8_t* into, std::size_t size) {
  auto bytes = from_hex(text);
  if (!bytes || bytes->size() != size) return false;
  std::memcpy(into, bytes->data(), size);
  return true;
}
template <class Tag>
bool read_hex(std::string_view text, Id<Tag>& into) { return read_hex(text, into.bytes.data(), into.bytes.size()); }

bool read_lines(std::string_view text, KeyBackup& backup) {
  const auto lines = split(text, '\n');
  if (lines.size() != 7 || lines[0] != opening) return false;
  std::vector<std::vector<std::string_view>> words;
  for (const auto& line : lines) words.push_back(split(line, ' '));
  auto is = [&](std::size_t line, std::string_view word, std::size_t count) { return words[line].size() == count && words[line][0] == word; };
  if (!is(1, "key", 2) || !is(2, "blocks", 3) || !is(3, "genesis", 2) || !is(4, "scrypt", 5) || !is(5, sealed_word, 3)) return false;
  if (!read_hex(words[1][1], backup.key) || !read_number(words[2][1], backup.chain.blocks) || !read_hex(words[2][2], backup.chain.head)) return false;
  if (words[3][1] != "-") {
    auto bytes = from_hex(words[3][1]);
    auto block = bytes ? decode_block(*bytes) : Result<Block>(bytes.error());
    if (!block) return false;
    backup.chain.genesis = *block;
  }
  if (!read_number(words[4][1], backup.cost.log2_n) || !read_number(words[4][2], backup.cost.r) || !read_number(words[4][3], backup.cost.p) || !read_hex(words[4][4], backup.salt)) return false;
  auto sealed = from_hex(words[5][2]);
  if (!sealed || !read_hex(words[5][1], backup.nonce.data(), backup.nonce.size())) return false;
  backup.sealed = *sealed;
  return true;
}

}  // namespace

Bytes seal_key(const KeyPair& key, const ChainMark& chain, std::string_view passphrase, const Hash& salt, const GcmNonce& nonce, const ScryptCost& cost) {
  KeyBackup backup{key.key(), chain, cost, salt, nonce, {}};
  auto wrapping = scrypt(passphrase, salt.view(), cost);
  check(wrapping.ok(), "a cost that this program chose");
  backup.sealed = seal_aes_gcm(*wrapping, nonce, known_lines(backup), {reinterpret_cast<const char*>(key.seed().data()), key.seed().size()});
  return whole_text(backup);
}

Result<KeyBackup> read_key_backup(std::string_view text) {
  KeyBackup backup;
  if (text.starts_with("tnode key backup ") && !text.starts_with(std::string(opening) + "\n")) return fail(Code::newer, "it is a backup of another version of tnode");
  // One spelling: what would be written otherwise is refused.
  if (text.size() > max_key_backup_bytes || !read_lines(text, backup) || whole_text(backup) != text) return fail(Code::invalid, "it is no backup of a key, or not a whole one");
  return backup;
}

Result<KeyPair> open_key_backup(const KeyBackup& backup, std::string_view passphrase) {
  auto wrapping = scrypt(passphrase, backup.salt.view(), backup.cost);
  if (!wrapping) return wrapping.error();
  auto seed_bytes = open_aes_gcm(*wrapping, backup.nonce, known_lines(backup), backup.sealed);
  if (!seed_bytes) return fail(Code::refused, "the passphrase is wrong (or the backup was changed since it was written)");
  Seed seed;
  if (seed_bytes->size() != seed.size()) return fail(Code::invalid, "what is in it is no key");
  std::memcpy(seed.data(), seed_bytes->data(), seed.size());
  auto key = KeyPair::from_seed(seed);
  if (key.key() != backup.key) return fail(Code::invalid, "it holds another key than it says");
  return key;
}

}  // namespace tnode
