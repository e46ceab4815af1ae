// AMX: eight registers of 16 rows of 64 bytes, and whether this process may use them.
#include "kernels/tiles.hpp"

#if defined(__x86_64__) && defined(__linux__)

#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#endif

namespace attn::kernels {

#if defined(__x86_64__) && defined(__linux__)

namespace {

/// What LDTILECFG reads (palette 1).
struct alignas(64) TileConfig {
  std::uint8_t palette = 1;
  std::uint8_t start_row = 0;
  std::uint8_t reserved[14] = {};
  std::uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  std::uint8_t rows[16] = {kTileRows, kTileRows, kTileRows, kTileRows, kTileRows, kTileRows, kTileRows, kTileRows};
};
static_assert(sizeof(TileConfig) == 64);

/// The instructions themselves: the compilers' own forms of them do not say what memory they read. Tiles are configured anew for
/// each product, since whoever else uses them in this thread may have left them otherwise.
struct AmxTiles {
  // NOLINTBEGIN(hicpp-no-assembler,readability-non-const-parameter): lint does not see what instructions write
  static void begin() noexcept {
    static constexpr TileConfig config;
    asm volatile("ldtilecfg %0" ::"m"(config) : "memory");
  }
  static void end() noexcept { asm volatile("tilerelease" ::: "memory"); }
  template <int kTile>
  static void zero() noexcept {
    asm volatile("tilezero %%tmm%c0" ::"i"(kTile));
  }
  template <int kTile>
  static void load(const std::uint32_t* from, std::size_t stride) noexcept {
    asm volatile("tileloadd (%0,%1,1), %%tmm%c2" ::"r"(from), "r"(stride * sizeof *from), "i"(kTile) : "memory");
  }
  template <int kTile>
  static void store(float* to, std::size_t stride) noexcept {
    asm volatile("tilestored %%tmm%c2, (%0,%1,1)" ::"r"(to), "r"(stride * sizeof *to), "i"(kTile) : "memory");
  }
  /// kSums += kRows times kLanesOf: the operands stand in the order opposite to that of the manual.
  template <int kSums, int kRows, int kColumns>
  static void dot() noexcept {
    asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(kSums), "i"(kRows), "i"(kColumns));
  }
  // NOLINTEND(hicpp-no-assembler,readability-non-const-parameter)
};

/// CPUID: AMX-BF16 and AMX-TILE; XCR0: the system keeps the state of tiles (bits 17 and 18) for its threads.
bool has_tiles() noexcept {
  unsigned a = 0;
  unsigned b = 0;
  unsigned c = 0;
  unsigned d = 0;
  if (__get_cpuid(1, &a, &b, &c, &d) == 0 || (c >> 27U & 1U) == 0) return false;
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0 || (d >> 22U & 1U) == 0 || (d >> 24U & 1U) == 0) return false;
  asm volatile("xgetbv" : "=a"(a), "=d"(d) : "c"(0));  // NOLINT(hicpp-no-assembler)
  return (a >> 17U & 3U) == 3;
}

/// Linux lends tiles to a process that asks for them, to all of its threads.
bool may_use_tiles() noexcept {
  constexpr long request_permission = 0x1023;  // ARCH_REQ_XCOMP_PERM
  constexpr long tile_data = 18;               // XFEATURE_XTILEDATA
  return has_tiles() && syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
}

}  // namespace

const PairProduct* tile_pairs(std::string_view isa) noexcept {
  static const bool usable = may_use_tiles();
  return isa == "avx512" && usable ? &kTileProduct<AmxTiles> : nullptr;
}

#else

const PairProduct* tile_pairs(std::string_view /*isa*/) noexcept { return nullptr; }

#endif

}  // namespace attn::kernels
