//! What a plugin author uses: async traits, the export macro, host services.
