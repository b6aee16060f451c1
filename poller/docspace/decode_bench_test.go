package docspace

import (
	"fmt"
	"strings"
	"testing"
)

// fullPage is a page of n rows as 3.7 sends it, of the usual size: about
// 940 bytes a row, four people, a tenth of the rows shown in groups of three.
func fullPage(n int) []byte {
	var b strings.Builder
	b.WriteString(`{"response":[`)
	for i := 0; i < n; {
		if i > 0 {
			b.WriteByte(',')
		}
		size := 1
		if i%30 == 0 {
			size = min(3, n-i)
		}
		b.WriteString(strings.TrimSuffix(fileRow(90500-i, i), "}"))
		b.WriteString(`,"related":[`)
		for j := 1; j < size; j++ {
			if j > 1 {
				b.WriteByte(',')
			}
			b.WriteString(fileRow(90500-i-j, i+j))
		}
		b.WriteString(`]}`)
		i += size
	}
	fmt.Fprintf(&b, `],"count":%d,"total":%d,"links":[{"href":"https://docspace.example.com/api/2.0/files/folder/1204/log?startIndex=0&count=100","action":"GET"}],"status":0,"statusCode":200}`, n, n)
	return []byte(b.String())
}

func fileRow(id, i int) string {
	return fmt.Sprintf(`{"id":%d,"action":{"id":5011,"key":"FileUploaded"},"initiator":%s,"date":"2026-03-02T15:04:%02d.0000000+03:00",`+
		`"data":{"accessibility":{"ImageView":false,"MediaView":false,"WebView":true,"WebEdit":true,"WebReview":true,`+
		`"WebCustomFilterEditing":false,"WebRestrictedEditing":false,"WebComment":true,"CanConvert":false,"MustConvert":false},`+
		`"viewUrl":"https://docspace.example.com/filehandler.ashx?action=download&fileid=%d","title":"Plan %d.docx",`+
		`"parentTitle":"Contracts","parentId":1310,"parentType":0,"id":%d}}`, id, profileJSON(i%4), 59-i%60, 7000+i, i, 7000+i)
}

func profileJSON(i int) string {
	return fmt.Sprintf(`{"id":"4c65a238-ca50-4374-b904-0d51d4c1822%d","displayName":"Mike O&#39;Neil %d",`+
		`"avatar":"/static/images/default_user_photo_size_82-82.png?hash=1976429152",`+
		`"avatarMax":"/static/images/default_user_photo_size_200-200.png?hash=1976429152",`+
		`"avatarSmall":"/static/images/default_user_photo_size_32-32.png?hash=1976429152",`+
		`"profileUrl":"https://docspace.example.com/accounts/people/filter?search=mike%%2B%d%%40example.com",`+
		`"hasAvatar":false,"isAnonim":false}`, i, i, i)
}

func BenchmarkDecodePage(b *testing.B) {
	body := fullPage(100)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		var p pageReader
		if err := decode(body, p.read); err != nil {
			b.Fatal(err)
		}
	}
}
