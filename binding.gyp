{
  "variables": {
    "with_unsupported%": 0,
    "common_sources": ["native/binding.cc", "native/marshal.cc", "native/exit_waits.cc"],
  },
  "target_defaults": {
    "include_dirs": ["native"],
    "defines": [
      "NAPI_VERSION=8",
      "NAPI_CPP_EXCEPTIONS",
      "NODE_ADDON_API_CPP_EXCEPTIONS_ALL",
      "NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS",
      "NODE_API_NO_EXTERNAL_BUFFERS_ALLOWED",
    ],
    "cflags!": ["-fno-exceptions"],
    "cflags_cc!": ["-fno-exceptions", "-fno-rtti", "-std=gnu++17", "-std=gnu++20"],
    "cflags_cc": [
      "-std=c++17", "-fvisibility=hidden", "-ffunction-sections", "-fdata-sections",
      "-Wall", "-Wextra", "-Wshadow", "-Wconversion", "-Wno-unused-parameter",
    ],
    "conditions": [
      ["OS=='linux'", {
        # As system headers: our warnings are for our own code. Relative to build/, where make runs.
        "cflags_cc": ["-isystem", "../<!(node scripts/napi-include.cjs)"],
        "ldflags": ["-Wl,--gc-sections", "-Wl,--exclude-libs,ALL", "-static-libstdc++", "-static-libgcc"],
        "libraries": ["-lpthread"],
      }, {
        "include_dirs": ["<!(node scripts/napi-include.cjs)"],
      }],
      ["OS=='mac'", {
        "xcode_settings": {
          "GCC_ENABLE_CPP_EXCEPTIONS": "YES",
          "GCC_ENABLE_CPP_RTTI": "YES",
          "CLANG_CXX_LANGUAGE_STANDARD": "c++17",
          "GCC_SYMBOLS_PRIVATE_EXTERN": "YES",
          "MACOSX_DEPLOYMENT_TARGET": "11.0",
        },
      }],
      ["OS=='win'", {
        "msvs_settings": { "VCCLCompilerTool": { "ExceptionHandling": 1, "AdditionalOptions": ["/std:c++17"] } },
      }],
    ],
  },
  "targets": [
    {
      "target_name": "pidproof",
      "sources": ["<@(common_sources)"],
      "conditions": [
        ["OS=='linux'", {
          "sources": [
            "native/posix/users.cc",
            "native/linux/capabilities.cc",
            "native/linux/diag.cc",
            "native/linux/exits.cc",
            "native/linux/filter.cc",
            "native/linux/holders.cc",
            "native/linux/host.cc",
            "native/linux/pin.cc",
            "native/linux/proc_net.cc",
            "native/linux/procfs.cc",
            "native/linux/reader.cc",
            "native/linux/scan.cc",
            "native/linux/sockets.cc",
            "native/linux/status.cc",
            "native/linux/syscalls.cc",
          ],
        }, {
          "sources": ["native/unsupported/platform.cc"],
        }],
      ],
    },
  ],
  "conditions": [
    # For the tests: what other systems get, loadable here. Not called *.node, since the loader takes
    # the first file of that name in build/Release.
    ["with_unsupported==1 and OS=='linux'", {
      "targets": [
        {
          "target_name": "pidproof-unsupported",
          "sources": ["<@(common_sources)", "native/unsupported/platform.cc"],
          "target_conditions": [["_type=='loadable_module'", { "product_extension": "addon" }]],
        },
      ],
    }],
  ],
}
