import KVProtocols
import Testing

@testable import KVStorage

@Suite struct ConversionNoteTests {
    @Test func `a note is read as it was written`() {
        let note = ConversionNote(
            identity: .max, position: 12, sourceType: "plugin:tiny", targetType: "lmdb", partitions: 64)
        #expect(ConversionNote(note.text) == note)
    }

    @Test(arguments: [
        "", "x", "7 1 old new", "7 1 old new 4 5", "7  old new 4", "7 1 old new  4", " 7 1 old new 4", "-7 1 old new 4",
        "7 1 old new many",
        "7 1 old new 4\n",
        "18446744073709551616 1 old new 4",
    ])
    func `a note that was never written like that is none`(text: String) {
        #expect(ConversionNote(text) == nil)
    }

    @Test func `a damaged note of a folder that was given up for another stops the call that would finish it`() throws {
        let world = try ConversionWorld()
        try world.convert()
        try world.write("x", DataFolder.convertingName, in: world.new.path)
        let before = world.listing(world.new.path)
        #expect(code { try world.convert() } == .damaged)
        #expect(world.listing(world.new.path) == before)
    }

    @Test(arguments: ["../x", ".kv-old-x/../..", "", "elsewhere", ".kv"])
    func `a damaged note of what is set aside moves nothing`(text: String) throws {
        let world = try ConversionWorld()
        try world.write(text, DataFolder.asideName, in: world.old.path)
        let before = world.listing(world.old.path)
        #expect(code { try DataFolder.setAside(world.old.path) } == .damaged)
        #expect(code { try DataFolder(path: world.old.path, backendType: "other").release() } == .damaged)
        #expect(world.listing(world.old.path) == before)
    }
}
