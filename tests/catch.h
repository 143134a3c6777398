// Catch2 under one name: v2 on Debian 12, v3 on Debian 13.
#pragma once
#ifdef TNODE_CATCH2_V2
#include <catch2/catch.hpp>
#else
#include <catch2/catch_all.hpp>
#endif

/// "The text holds this part": v2 calls the matcher Contains, v3 ContainsSubstring.
inline auto has_text(const std::string& part) {
#ifdef TNODE_CATCH2_V2
  return Catch::Matchers::Contains(part);
#else
  return Catch::Matchers::ContainsSubstring(part);
#endif
}
