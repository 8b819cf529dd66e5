public import KVProtocols

extension ClusterConfiguration {
    /// Reads a configuration, applies the overrides, fills in defaults and checks everything together. Pure; opens
    /// nothing, looks no name up. O(length + nodes²).
    ///
    /// - Parameters:
    ///   - text: strict JSON of at most 4 MiB.
    ///   - source: what to call the text in messages, usually the file's path.
    ///   - overrides: values of flags and environment variables, which go before those of the text.
    ///   - knownBackends: the registry; the types and option names that are accepted.
    /// - Throws: every problem at once, with its place and path.
    public static func load(
        text: String, source: String, overrides: Overrides = Overrides(), knownBackends: [BackendFactory]
    ) throws(ConfigurationProblems) -> ClusterConfiguration {
        var problems = ProblemLog()
        problems.add(overrides.problems)
        var root: JSONNode
        do throws(JSONFault) {
            root = try JSONReader.read(text)
        } catch {
            problems.report("", error.message, at: error.origin)
            throw ConfigurationProblems(source: source, problems: problems.problems)
        }
        overrides.apply(to: &root, &problems)
        let draft = ClusterDraft(root, factories: knownBackends, &problems)
        draft.checkRelations(&problems)
        guard problems.problems.isEmpty, let configuration = draft.value else {
            throw ConfigurationProblems(source: source, problems: problems.problems)
        }
        return configuration
    }
}
