#include "swarm/published_items.h"

#include <algorithm>

#include <libtorrent/alert_types.hpp>
#include <libtorrent/bdecode.hpp>
#include <libtorrent/bencode.hpp>
#include <libtorrent/kademlia/ed25519.hpp>
#include <libtorrent/kademlia/item.hpp>

namespace tnode {

void PublishedItems::publish(const std::string& salt, const Bytes& value, std::int64_t seq) {
  std::array<char, 32> seed;
  std::copy(seed_.begin(), seed_.end(), reinterpret_cast<std::uint8_t*>(seed.data()));
  const auto [public_key, secret_key] = lt::dht::ed25519_create_keypair(seed);
  lt::error_code ec;
  const lt::entry wanted = lt::bdecode(value, ec);
  if (ec) return report_(SwarmProblem{"a value to publish is not bencoded: " + ec.message()});
  // Called with what the DHT has now: the value is put in its place, signed here.
  session_.dht_put_item(
      public_key.bytes,
      [this, wanted, value, seq, public_key = public_key, secret_key = secret_key](lt::entry& entry, std::array<char, 64>& signature, std::int64_t& entry_seq, const std::string& entry_salt) {
        // What is there under a higher number is newer, though this node does not know it: it stays, and is told of.
        Bytes there;
        if (entry_seq > seq && entry.type() != lt::entry::undefined_t) lt::bencode(std::back_inserter(there), entry);
        if (there.empty()) {
          entry = wanted;
          entry_seq = seq;  // equal bytes under the same number are a refresh
        } else {
          ItemFound newer;
          std::copy(public_key.bytes.begin(), public_key.bytes.end(), reinterpret_cast<char*>(newer.key.bytes.data()));
          newer.salt = entry_salt;
          newer.seq = entry_seq;
          newer.value = there;
          report_(std::move(newer));
        }
        signature = lt::dht::sign_mutable_item(there.empty() ? value : there, entry_salt, lt::dht::sequence_number(entry_seq), public_key, secret_key).bytes;
      },
      salt);
}

void PublishedItems::find(const NodeKey& key, const std::string& salt) {
  std::array<char, 32> bytes;
  std::copy(key.bytes.begin(), key.bytes.end(), reinterpret_cast<std::uint8_t*>(bytes.data()));
  session_.dht_get_item(bytes, salt);
}

bool PublishedItems::on_alert(const lt::alert& alert) {
  if (auto* found = lt::alert_cast<lt::dht_mutable_item_alert>(&alert)) {
    ItemFound item;
    for (std::size_t i = 0; i < 32; ++i) item.key.bytes[i] = static_cast<std::uint8_t>(found->key[i]);
    item.salt = found->salt;
    item.seq = found->seq;
    if (found->item.type() != lt::entry::undefined_t) lt::bencode(std::back_inserter(item.value), found->item);  // checked by libtorrent against key and salt
    item.last = found->authoritative;
    report_(std::move(item));
    return true;
  }
  if (auto* put = lt::alert_cast<lt::dht_put_alert>(&alert)) {
    report_(ItemPublished{put->salt, put->seq, put->num_success});
    return true;
  }
  return false;
}

}  // namespace tnode
