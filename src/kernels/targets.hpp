// Which of Highway's vector targets are built: those whose multiply-add rounds once, and a portable one that calls std::fma.
// Include before any Highway header.
#pragma once

// Highway 1.0.3 picks its emulated 128-bit vectors or plain scalars by compiler version; plain scalars are what we want
// everywhere.
#define HWY_BROKEN_EMU128 1
// Build every target the compiler can, whatever -march says, so that the list of targets depends on the processor alone.
#define HWY_COMPILE_ALL_ATTAINABLE 1
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SSE4 | HWY_AVX3_DL | HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128)
