#include "core/half_life.h"

#include <array>

namespace tnode {
namespace {

__extension__ using Wide = unsigned __int128;  // an amount times a fraction

/// 2^(−1/2), 2^(−1/4), 2^(−1/8), … in units of 2^−32, rounded up: a half-life cut into a million steps.
constexpr std::array<std::uint64_t, 20> roots{3037000500, 3611622603, 3938502376, 4112874774, 4202935004, 4248701965, 4271771997, 4283353946, 4289156691, 4292061010,
                                              4293513907, 4294240540, 4294603903, 4294785596, 4294876445, 4294921871, 4294944584, 4294955940, 4294961618, 4294964457};

}  // namespace

std::int64_t faded(std::int64_t amount, TimeMs age_ms, TimeMs half_life_ms) {
  if (amount <= 0 || age_ms <= 0 || half_life_ms <= 0) return amount;
  const TimeMs whole = age_ms / half_life_ms;
  if (whole >= 63) return 1;
  std::uint64_t left = static_cast<std::uint64_t>(amount);
  left = (left >> whole) + ((left & ((std::uint64_t{1} << whole) - 1)) != 0);
  TimeMs rest = age_ms % half_life_ms, step = half_life_ms;
  for (const std::uint64_t root : roots) {
    step /= 2;
    if (step == 0) break;
    if (rest < step) continue;
    rest -= step;
    left = static_cast<std::uint64_t>((static_cast<Wide>(left) * root + 0xffffffffu) >> 32);
  }
  return static_cast<std::int64_t>(left);
}

}  // namespace tnode
