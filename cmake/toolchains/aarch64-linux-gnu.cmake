# Builds for 64-bit Arm Linux with Debian's cross compiler, and runs what was built under qemu.
#
# The libraries come from build/arm64-root, where scripts/check.sh unpacks Debian's arm64 packages beside those of the system; where
# that folder is not there, they are looked for where a second architecture's packages are installed (dpkg --add-architecture).
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
# g++ notes at each std::pair that its versions before 10 passed it otherwise.
set(CMAKE_CXX_FLAGS_INIT -Wno-psabi)

find_program(ATTN_QEMU_AARCH64 NAMES qemu-aarch64 qemu-aarch64-static REQUIRED)
set(CMAKE_CROSSCOMPILING_EMULATOR ${ATTN_QEMU_AARCH64} -L /usr/aarch64-linux-gnu)

cmake_path(SET attn_arm64_root NORMALIZE ${CMAKE_CURRENT_LIST_DIR}/../../build/arm64-root)
if(EXISTS ${attn_arm64_root}/usr)
  set(CMAKE_FIND_ROOT_PATH ${attn_arm64_root})
  set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
  set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
  set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
  set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
  # OpenBLAS is loaded by name while the program runs, and needs libraries beside it.
  set(attn_arm64_libraries ${attn_arm64_root}/usr/lib/aarch64-linux-gnu)
  list(APPEND CMAKE_CROSSCOMPILING_EMULATOR -E LD_LIBRARY_PATH=${attn_arm64_libraries}:${attn_arm64_libraries}/openblas-pthread)
  set(ENV{PKG_CONFIG_SYSROOT_DIR} ${attn_arm64_root})
  set(ENV{PKG_CONFIG_LIBDIR} ${attn_arm64_root}/usr/lib/aarch64-linux-gnu/pkgconfig:${attn_arm64_root}/usr/share/pkgconfig)
else()
  set(ENV{PKG_CONFIG_LIBDIR} /usr/lib/aarch64-linux-gnu/pkgconfig:/usr/share/pkgconfig)
endif()
