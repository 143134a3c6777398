// An attacker's hands, built for the tests alone: a key of its own, a channel to a node, and any bytes sent through it. Frames come as hex,
// one a line, on stdin; what happens goes to stdout: "up KEY", "down KEY", "message KEY HEX".
//
//   tnode_stranger SEED-HEX LISTEN PEER
#include <unistd.h>

#include <cstdio>
#include <iostream>
#include <mutex>
#include <set>

#include "swarm/swarm.h"

using namespace tnode;

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  SwarmOptions options;
  auto seed = from_hex(argv[1]);
  if (!seed || seed->size() != 32) return 2;
  for (std::size_t i = 0; i < 32; ++i) options.key_seed[i] = static_cast<std::uint8_t>((*seed)[i]);
  options.listen = argv[2];
  options.peers = {argv[3]};
  options.data_dir = ".";
  std::mutex mutex;
  std::set<NodeKey> up;
  auto say = [](const std::string& line) {
    std::printf("%s\n", line.c_str());
    std::fflush(stdout);
  };
  auto swarm = Swarm::start(options, [&](SwarmEvent event) {
    std::lock_guard lock(mutex);
    if (auto* came = std::get_if<PeerUp>(&event)) up.insert(came->key), say("up " + to_hex(came->key));
    else if (auto* left = std::get_if<PeerDown>(&event)) up.erase(left->key), say("down " + to_hex(left->key));
    else if (auto* message = std::get_if<MessageIn>(&event)) say("message " + to_hex(message->from) + " " + to_hex(message->message));
  });
  if (!swarm) return 1;
  for (std::string line; std::getline(std::cin, line);) {
    auto frame = from_hex(line);
    if (!frame) return 2;
    std::lock_guard lock(mutex);
    for (const NodeKey& key : up) (*swarm)->send(key, *frame);
  }
  return 0;
}
